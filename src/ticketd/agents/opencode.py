"""OpenCode: it says nothing at the end, so the last step must have stopped of itself, and nothing may have gone wrong.

Its prompt comes on standard input: an argument with spaces reaches the model in quotes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ticketd.ports import AgentResult, Exited, Launch, Said, Task

ENDPOINT = "endpoint"
QUIET = {
    f"OPENCODE_DISABLE_{what}": "1"
    for what in ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS", "SHARE")
}
# It has no switch against its own waiting, of up to an hour a time and without a word.
NO_RETRY = """\
export const NoRetry = async () => ({
  event: async ({ event }) => {
    const status = event.type === "session.status" ? event.properties.status : {}
    if (status.type !== "retry") return
    const error = { name: "Retry", data: { message: String(status.message) } }
    await new Promise((done) => process.stdout.write(JSON.stringify({ type: "error", error }) + "\\n", done))
    process.exit(1)
  },
})
"""
PLACES = {f"XDG_{place}_HOME": place.lower() for place in ("DATA", "CONFIG", "STATE", "CACHE")}


class OpencodeAgent:
    """Satisfies `ports.Agent`."""

    name = "opencode"
    program = "opencode"
    keys = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY", "OPENCODE_API_KEY")
    variables = ("OPENAI_BASE_URL",)
    resumes = True
    reads_lines = True

    def launch(self, task: Task) -> Launch:
        profile, endpoint = task.profile, task.environ.get("OPENAI_BASE_URL")
        model = f"{ENDPOINT}/{profile.model}" if endpoint and profile.model else profile.model
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *("run", "--format", "json", "--auto"),
                *(("--model", model) if model else ()),
                *(("--session", task.session) if task.session else ()),
                *profile.args,
            ),
            env={
                **QUIET,
                "OPENCODE_CONFIG_CONTENT": json.dumps(_configuration(task, endpoint)),
                **({name: str(task.home / "opencode" / place) for name, place in PLACES.items()} if task.own_home else {}),
            },
            files={"opencode/noretry.js": NO_RETRY},
        )

    def read(self, line: str) -> Iterable[Said]:
        return ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        return AgentResult("done")


def _configuration(task: Task, endpoint: str | None) -> dict[str, Any]:
    plugin, model = (task.home / "opencode/noretry.js").as_uri(), task.profile.model
    plain = {"autoupdate": False, "share": "disabled", "permission": "allow", "plugin": [plugin]}
    if not endpoint or not model:
        return plain
    options = {"baseURL": endpoint, "apiKey": "{env:OPENAI_API_KEY}"}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {model: {}}}
    return {**plain, "provider": {ENDPOINT: provider}}
