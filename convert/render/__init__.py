"""The conversion report as tables, plots and a page."""
