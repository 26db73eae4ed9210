"""The demonstration: invented families in a folder to look at, and the whole story told by itself.

Everyone here is invented and every NHS number is of the 999 range, which belongs to nobody.
"""
