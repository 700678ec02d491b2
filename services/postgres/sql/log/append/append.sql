-- Appends waiting batches in one round trip; see the function. Relies on heads_pkey, devices_pkey and both keys of the log.
SELECT status, last_seq, head, shift, stored_seqs, stored_positions, stored_rejected
FROM tidelog.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)
