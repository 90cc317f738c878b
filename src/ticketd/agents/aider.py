"""aider: its model answers with edits as text, and it exits 0 whatever has happened; what it prints is all there is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ticketd.ports import AgentResult, Exited, Launch, Said, Task

HISTORY = "history"


class AiderAgent:
    """Satisfies `ports.Agent`. A session is the file that it keeps its conversation in."""

    name = "aider"
    program = "aider"
    keys = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY", "DEEPSEEK_API_KEY")
    variables = ("OPENAI_BASE_URL",)
    resumes = True
    reads_lines = True

    def launch(self, task: Task) -> Launch:
        profile, endpoint = task.profile, task.environ.get("OPENAI_BASE_URL")
        history = task.home / HISTORY / f"{task.session or task.fresh or 'chat'}.md"
        return Launch(
            argv=(
                *(profile.command or (self.program,)),
                *("--yes-always", "--no-pretty", "--no-stream", "--no-fancy-input", "--no-suggest-shell-commands"),
                *("--no-gitignore", "--no-detect-urls", "--map-tokens", "0"),
                # ticketd commits; its own commits cost a question for the message of each.
                *("--no-auto-commits", "--no-dirty-commits"),
                *(("--model", _model(profile.model, endpoint)) if profile.model else ()),
                *("--chat-history-file", str(history), "--input-history-file", str(history.with_suffix(".input"))),
                *(("--restore-chat-history",) if task.session else ()),
                *("--message-file", str(task.brief)),
                *profile.args,
            ),
            env={
                **{f"AIDER_{what}": "false" for what in ("ANALYTICS", "CHECK_UPDATE", "SHOW_RELEASE_NOTES")},
                **{"AIDER_ANALYTICS_DISABLE": "true", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
                **({"AIDER_OPENAI_API_BASE": endpoint} if endpoint else {}),
            },
            files={f"{HISTORY}/.here": ""},
            reads_brief=False,
        )

    def read(self, line: str) -> Iterable[Said]:
        return ()

    def read_result(self, exited: Exited | None, log: Path, home: Path) -> AgentResult:
        return AgentResult("done")


def _model(model: str, endpoint: str | None) -> str:
    return f"openai/{model}" if endpoint and not model.startswith("openai/") else model
