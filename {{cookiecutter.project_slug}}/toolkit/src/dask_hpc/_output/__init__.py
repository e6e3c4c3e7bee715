"""Output for users: messages, a status line, and formatted numbers."""
