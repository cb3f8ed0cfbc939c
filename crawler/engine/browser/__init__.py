"""Pages as a browser shows them: an installed Chromium, whose only way out is a proxy of ours."""
