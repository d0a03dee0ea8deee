"""Numbers to what a person reads: staging table, course, pages, cohort; reads files of the contract."""
