"""The pose task: heat maps, one per joint, against labelled joints."""
