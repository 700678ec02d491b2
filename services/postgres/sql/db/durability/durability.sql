-- The settings of this database that decide whether acknowledged edits survive.
SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('server_version_num')::integer AS server_version, current_setting('server_encoding') AS encoding
