package packet

// Valid reports whether the checksum among the bytes p, which it covers, is right.
func Valid(p []byte) bool { return fold(sum(p, 0)) == 0xffff }

// SameSum reports whether a and b, of one length and at the same place, add the
// same to a checksum. One of zeros only is the same as another of zeros only.
func SameSum(a, b []byte) bool { return fold(sum(a, 0)) == fold(sum(b, 0)) }

// TunnelPort reports whether Parse looks for more headers behind a UDP header with
// that destination port.
func TunnelPort(port uint16) bool { return byPort(port) != Payload }
