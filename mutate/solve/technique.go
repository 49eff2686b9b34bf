package solve

import "strings"

// Technique is a set of ways in which a Solver makes comparisons go the other way.
type Technique uint8

const (
	// Operands changes the bytes that the code says an operand is made of.
	Operands Technique = 1 << iota
	// Bytes changes byte after byte to see which ones an operand is.
	Bytes
	// Sums solves operands that are linear in the bytes, or in their bits.
	Sums
	// Climbs changes bytes as long as that brings the operands closer.
	Climbs
	// Sweeps gives bytes that an operand depends on every value.
	Sweeps
	// Keys copies keys that a map has to where a lookup takes its key from.
	Keys
)

// Every has every technique.
const Every = Operands | Bytes | Sums | Climbs | Sweeps | Keys

// studying are the techniques for which inputs are taken apart.
const studying = Bytes | Sums | Climbs | Sweeps | Keys

// String returns the names of the set's techniques, separated by commas.
func (t Technique) String() string {
	var names []string
	for i, name := range [...]string{"operands", "bytes", "sums", "climbs", "sweeps", "keys"} {
		if t>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// Options configures a Solver. The zero value uses every technique.
type Options struct {
	// Without are techniques that are not used, for measurements of the others.
	Without Technique
}

// uses reports whether one of the techniques is in use.
func (s *Solver) uses(t Technique) bool { return t&^s.opts.Without != 0 }
