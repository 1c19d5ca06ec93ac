"""The docks: thin views of the rooms below; the GUI thread never imports torch."""

# Before Qt: PySide6 looks at each module while it is imported, which ends pydantic's own import of
# its fields.
import pydantic.fields  # noqa: F401
