"""Many calls in few numbers: percentiles by group, differences, gates. No clock, no database.

`turns` are the columns that everything is computed from, `groups` divide them, `figures` are a
row of a report, `differences` compare two groups, `gates` judge them; `report` puts these
together, `formats` and `records` write it down. `recorder.sql.reports.turns_of` reads the columns.
"""
