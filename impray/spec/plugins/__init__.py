"""Plugins: members of the families that are somebody else's, in a file that a sweep names or in an installed package.

declared.py: what a plugin says of itself, and what is wrong with it. loading.py: from a file or an entry point to its members.
joined.py: the plugins that have joined the families of this process. described.py: members known from a results folder alone.
"""
