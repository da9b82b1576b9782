"""One raw graph with features of its nodes: its forms, and a generated one."""
