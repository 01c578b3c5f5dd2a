"""What every room uses: errors, files, options, progress, pages."""

__version__ = "0.2.0"
