-- Reads the settings that decide whether acknowledged events survive a crash.
SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('server_version_num')::integer AS server_version, current_setting('server_encoding') AS encoding
