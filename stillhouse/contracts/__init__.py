"""The records that parts fill in and verbs take, settings, and the one error that a reader can mend."""
