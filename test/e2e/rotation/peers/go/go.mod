module meshid.dev/peer

go 1.23
