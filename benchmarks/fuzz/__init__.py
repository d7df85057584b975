"""What a reader of records does with inputs that nobody wrote.

`seeds` are whole records, `mutating` spoils them, `targets` reads them, and
`__main__` counts. The tests do the same with fewer inputs.
"""
