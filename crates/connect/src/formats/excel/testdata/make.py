"""Makes old.xls (needs `pip install xlwt`): numbers, texts, dates, merged cells and an error in the old binary format."""

import datetime
import pathlib

import xlwt

book = xlwt.Workbook()
sheet = book.add_sheet("Umsätze")
for column, name in enumerate(["id", "name", "day", "amount", "region"]):
    sheet.write(0, column, name)
day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
for row in range(1, 7):
    sheet.write(row, 0, row)
    sheet.write(row, 1, f"Müller {row}")
    sheet.write(row, 2, datetime.date(2026, 3, row), day)
    sheet.write(row, 3, row + 0.25)
sheet.write_merge(1, 3, 4, 4, "north")
sheet.write_merge(4, 6, 4, 4, "south")
book.add_sheet("empty")
book.save(pathlib.Path(__file__).with_name("old.xls"))
