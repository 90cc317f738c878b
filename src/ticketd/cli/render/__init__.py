"""Documents into words, lines and screens. The only user of rich, which is imported when there is something to draw."""
