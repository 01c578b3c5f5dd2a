"""What every room uses: errors, files, options, progress, pages."""

__version__ = "0.1.0"
