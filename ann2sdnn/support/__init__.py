"""What every room uses: errors, files, options, progress, pages."""
