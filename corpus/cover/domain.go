package cover

import mathbits "math/bits"

// Domain is a kind of further features of a run, beside edges and loop counts. They
// are of interest when no new edges are found any more.
type Domain int

const (
	// Results are return values with how much longer or shorter the packet became.
	Results Domain = iota
	// Returns are return values with the edge that was passed last.
	Returns
	// Outputs say which part of the packet changed first, and how much of it changed.
	Outputs
	// Chains are the orders in which programs that tail-call each other were entered.
	Chains
	// Updates are the sets of places that change maps.
	Updates

	domains
)

// DomainBits is the number of features in a domain. What a run has is hashed to one of
// them, so a program with more of something, such as one that returns a hash of the
// packet, fills its domain and no more.
const DomainBits = 64

// Further holds the further features of one run, or those of many: a set for each
// domain. The zero value is empty.
type Further [domains]uint64

// MaxFurther is how many features there are in all domains.
const MaxFurther = int(domains) * DomainBits

// Set adds the feature of a domain that what stands for; it is hashed.
func (f *Further) Set(d Domain, what uint64) { f[d] |= 1 << (Mix(what) % DomainBits) }

// Adds reports whether f has a feature that seen lacks.
func (f *Further) Adds(seen *Further) bool {
	fresh := uint64(0)
	for d := range f {
		fresh |= f[d] &^ seen[d]
	}
	return fresh != 0
}

// Merge adds the features of other to f.
func (f *Further) Merge(other *Further) {
	for d := range f {
		f[d] |= other[d]
	}
}

// Len returns the number of features.
func (f *Further) Len() int {
	n := 0
	for _, set := range f {
		n += mathbits.OnesCount64(set)
	}
	return n
}

// Each calls do with the number, below MaxFurther, of each feature.
func (f *Further) Each(do func(feature int)) {
	for d, set := range f {
		for ; set != 0; set &= set - 1 {
			do(d*DomainBits + mathbits.TrailingZeros64(set))
		}
	}
}

// Mix spreads the differences between numbers over all bits.
func Mix(n uint64) uint64 {
	n ^= n >> 32
	n *= 0xd6e8feb86659fd93
	n ^= n >> 32
	n *= 0xd6e8feb86659fd93
	return n ^ n>>32
}

// AddTrace adds the features of the order in which a run last passed edges: ret is what
// its last step returned.
func (f *Further) AddTrace(t *Table, trace []int, ret uint32) {
	if len(trace) == 0 {
		return
	}
	f.Set(Returns, uint64(trace[len(trace)-1])<<32|uint64(ret))
	chain, programs, changed := uint64(0), 0, uint64(0)
	for _, i := range trace {
		e := &t.Edges[i]
		if e.Program {
			chain, programs = Mix(chain+e.ID), programs+1
		}
		if e.Updates {
			changed ^= Mix(e.ID) // whatever the order
		}
	}
	if programs > 1 {
		f.Set(Chains, chain)
	}
	if changed != 0 {
		f.Set(Updates, changed)
	}
}
