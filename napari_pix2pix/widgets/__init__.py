"""The docks: thin views of what the rooms below do; nothing here imports torch in the GUI thread."""
