"""Public data sets, measured as their challenges measured them: how far the numbers of this package can be trusted."""

DATASET_NAMES = ("lits", "msd", "ircadb", "chaos", "totalsegmentator", "tcia", "csv", "phantom")
CONVENTIONS = ("isbi2017", "codalab", "chaos")
