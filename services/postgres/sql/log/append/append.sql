-- Appends a group of batches in one round trip. Relies on heads_pkey, devices_pkey and both keys of the log.
SELECT status, last_seq, head, shift, stored_seqs, stored_positions, stored_rejected
FROM tidelog.append($1, $2, $3, $4)
