"""What the two processes and every job agree upon: jobs, messages, records.

Values only, and their JSON forms; nothing here opens a file or starts a process.
"""
