"""The docks: thin views of the rooms below; the GUI thread never imports torch."""
