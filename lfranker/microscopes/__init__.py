"""Files of the vendors' microscopes: one module a vendor, and what they say of a scan in one form.

`reading` finds the vendor of a file. fei, zeiss, tescan and fibics read a private tag of their
TIFFs, hitachi and jeol the text file beside an image.
"""
