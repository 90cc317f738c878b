"""ticketd: a git-aware ticket executor for coding agents."""
