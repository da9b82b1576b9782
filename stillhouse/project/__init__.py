"""Projects that live in a folder of their own and use the library as an installed package.

`template/` holds links to this repository's own files, which become files in the wheel: there is one text of each.
"""
