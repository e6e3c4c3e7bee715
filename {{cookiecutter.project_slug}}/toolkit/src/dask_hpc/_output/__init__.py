"""How users hear of things: messages, a status line, and numbers in words."""
