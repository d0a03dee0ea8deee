"""Public data sets, measured as their challenges measured them: how far the numbers of this package can be trusted."""
