"""What well-known models cost, in USD per million tokens, as listed on 2026-11-21 (the price table of litellm 1.109.1).

Of models that charge more for very long requests (past 200,000 tokens and more) it is the ordinary price: agents report
sums, not requests. What is not here costs nobody knows what, which is better than a wrong number; `[prices]` of
ticketd.toml adds to it and overrides it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ticketd.domain.prices import Price

KNOWN: Mapping[str, Price] = {
    "claude-haiku-4-5": Price(1.0, 5.0, 0.1, 1.25),
    "claude-sonnet-4-5": Price(3.0, 15.0, 0.3, 3.75),
    "claude-sonnet-4-6": Price(3.0, 15.0, 0.3, 3.75),
    "claude-sonnet-5": Price(2.0, 10.0, 0.2, 2.5),
    "claude-sonnet-5-5": Price(2.0, 10.0, 0.1, 2.5),
    "claude-opus-4-5": Price(5.0, 25.0, 0.5, 6.25),
    "claude-opus-4-6": Price(5.0, 25.0, 0.5, 6.25),
    "claude-opus-4-7": Price(5.0, 25.0, 0.5, 6.25),
    "claude-opus-4-8": Price(5.0, 25.0, 0.5, 6.25),
    "claude-opus-5": Price(5.0, 25.0, 0.5, 6.25),
    "claude-opus-5-5": Price(4.0, 20.0, 0.2, 5.0),
    "claude-fable-5": Price(10.0, 50.0, 1.0, 12.5),
    "claude-fable-5-1": Price(10.0, 50.0, 0.25, 12.5),
    "gpt-4.1": Price(2.0, 8.0, 0.5),
    "gpt-4.1-mini": Price(0.4, 1.6, 0.1),
    "gpt-4o": Price(2.5, 10.0, 1.25),
    "gpt-4o-mini": Price(0.15, 0.6, 0.075),
    "gpt-5": Price(1.25, 10.0, 0.125),
    "gpt-5-mini": Price(0.25, 2.0, 0.025),
    "gpt-5-nano": Price(0.05, 0.4, 0.005),
    "gpt-5.1": Price(1.25, 10.0, 0.125),
    "gpt-5.2": Price(1.75, 14.0, 0.175),
    "gpt-5.3-codex": Price(1.75, 14.0, 0.175),
    "gpt-5.4": Price(2.5, 15.0, 0.25),
    "gpt-5.4-mini": Price(0.75, 4.5, 0.075),
    "gpt-5.4-nano": Price(0.2, 1.25, 0.02),
    "gpt-5.5": Price(5.0, 30.0, 0.5),
    "gpt-5.6": Price(4.0, 20.0, 0.4, 5.0),
    "gpt-5.6-sol": Price(4.0, 20.0, 0.4, 5.0),
    "gpt-5.6-terra": Price(2.0, 12.0, 0.2, 2.5),
    "gpt-5.6-luna": Price(0.2, 1.2, 0.02, 0.25),
    "o3": Price(2.0, 8.0, 0.5),
    "o4-mini": Price(1.1, 4.4, 0.275),
    "gemini-2.5-flash": Price(0.3, 2.5, 0.03),
    "gemini-2.5-flash-lite": Price(0.1, 0.4, 0.01),
    "gemini-2.5-pro": Price(1.25, 10.0, 0.125),
    "gemini-3-flash-preview": Price(0.5, 3.0, 0.05),
    "gemini-3.1-flash-lite": Price(0.25, 1.5, 0.025),
    "gemini-3.1-pro-preview": Price(2.0, 12.0, 0.2),
    "gemini-3.5-flash": Price(1.5, 9.0, 0.15),
    "gemini-3.6-flash": Price(0.75, 3.75, 0.075),
    "gemini-3.7-flash": Price(0.75, 3.75, 0.075),
    "gemini-3.8-flash": Price(0.75, 3.75, 0.075),
    "kimi-k2.6": Price(0.95, 4.0, 0.16),
    "kimi-k2.7-code": Price(0.95, 4.0, 0.19),
    "kimi-k3": Price(3.0, 15.0, 0.3, 3.0),
    "qwen3.7-max": Price(2.5, 7.5, 0.5, 3.125),
    "qwen3.8-max": Price(2.0, 6.0, 0.25),
    "qwen3.8-flash": Price(0.15, 0.47, 0.016, 0.2),
    "deepseek-v4-flash": Price(0.3, 1.2, 0.006, 0.0),
    "deepseek-v4-pro": Price(1.32, 3.96, 0.044, 0.0),
}
