package triage

import (
	"crypto/sha256"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Minimise returns the simplest input it finds for which fails reports true,
// starting from in, for which it should. The same predicate gives the same result.
// An error of fails ends it and is returned with the simplest input so far, which
// is a copy in any case. Fails must not keep or change its argument; it is not
// asked twice about the same input. Lengths and checksums of the result are right
// where that makes no difference.
func Minimise(in *corpus.Input, fails func(*corpus.Input) (bool, error)) (*corpus.Input, error) {
	m := &minimiser{best: in.Clone(), fails: fails, asked: map[[sha256.Size]byte]bool{}}
	m.asked[sha256.Sum256(corpus.Encode(m.best))] = true
	for {
		before := m.size
		m.size = measureInput(m.best)
		if before == m.size || m.err != nil {
			m.repair()
			return m.best, m.err
		}
		m.dropFaults()
		m.dropEntries()
		m.dropSteps()
		for i := 0; i < len(m.best.Steps) && m.err == nil; i++ {
			m.resetStep(i)
			m.shrinkPacket(i)
			m.zeroPacket(i)
		}
		m.zeroEntries()
	}
}

// minimiser holds the simplest input so far.
type minimiser struct {
	best  *corpus.Input
	size  size
	fails func(*corpus.Input) (bool, error)
	asked map[[sha256.Size]byte]bool // what fails said, by hash of the encoding
	err   error                      // of fails; nothing is tried any more
}

// size is what gets smaller, the first difference counts: number of parts, number
// of bytes, number of bytes other than zero.
type size [3]int

func measureInput(in *corpus.Input) (s size) {
	s[0] = len(in.Steps) + len(in.Maps)
	count := func(parts ...[]byte) {
		for _, p := range parts {
			s[1] += len(p)
			for _, b := range p {
				if b != 0 {
					s[2]++
				}
			}
		}
	}
	for i := range in.Maps {
		count(in.Maps[i].Key, in.Maps[i].Value)
	}
	for i := range in.Steps {
		step := &in.Steps[i]
		count(step.Packet, step.Meta, step.Context, step.Chance)
		for _, set := range [3]bool{step.CPU != 0, step.Flags != 0, step.Fault != 0} {
			if set {
				s[2]++
			}
		}
	}
	return s
}

func (s size) less(other size) bool {
	for i := range s {
		if s[i] != other[i] {
			return s[i] < other[i]
		}
	}
	return false
}

// try changes a copy of the simplest input and keeps it if it is simpler and
// still fails.
func (m *minimiser) try(change func(in *corpus.Input)) bool {
	if m.err != nil {
		return false
	}
	candidate := m.best.Clone()
	change(candidate)
	return measureInput(candidate).less(measureInput(m.best)) && m.ask(candidate)
}

// ask keeps a candidate if it fails. What was asked before is remembered.
func (m *minimiser) ask(candidate *corpus.Input) bool {
	sum := sha256.Sum256(corpus.Encode(candidate))
	failing, asked := m.asked[sum]
	if !asked {
		if failing, m.err = m.fails(candidate); m.err != nil {
			return false
		}
		m.asked[sum] = failing
	}
	if failing {
		m.best = candidate
	}
	return failing
}

// chunks calls drop with ranges of a string of n parts, from halves down to least
// parts, the last ones first. Drop reports whether it took the range away, in
// which case the string has become shorter by it.
func chunks(n, least int, drop func(from, to int) bool) {
	for size := n; size >= max(least, 1); size /= 2 {
		for to := n; to > 0; to -= size {
			from := max(to-size, 0)
			if drop(from, to) {
				n -= to - from
			}
		}
	}
}

// zeros is chunks for changes that keep the length.
func zeros(n int, zero func(from, to int)) {
	chunks(n, 1, func(from, to int) bool {
		zero(from, to)
		return false
	})
}

// repair makes lengths and checksums of all packets right if it still fails then:
// what does not matter should not look as if it did.
func (m *minimiser) repair() {
	for _, lengths := range [2]bool{true, false} {
		if m.err != nil {
			return
		}
		candidate := m.best.Clone()
		for i := range candidate.Steps {
			candidate.Steps[i].Packet = repaired(candidate.Steps[i].Packet, lengths)
		}
		if candidate.Equal(m.best) || m.ask(candidate) {
			return
		}
	}
}

func (m *minimiser) dropEntries() {
	chunks(len(m.best.Maps), 1, func(from, to int) bool {
		return m.try(func(in *corpus.Input) { in.Maps = append(in.Maps[:from], in.Maps[to:]...) })
	})
}

func (m *minimiser) dropSteps() {
	chunks(len(m.best.Steps), 1, func(from, to int) bool {
		if to-from == len(m.best.Steps) {
			return false // one step has to stay
		}
		return m.try(func(in *corpus.Input) { in.Steps = append(in.Steps[:from], in.Steps[to:]...) })
	})
}

// zeroEntries zeroes keys and values of map entries.
func (m *minimiser) zeroEntries() {
	for i := range m.best.Maps {
		m.zeroString(func(in *corpus.Input) []byte { return in.Maps[i].Value })
		m.zeroString(func(in *corpus.Input) []byte { return in.Maps[i].Key })
	}
}

// zeroString zeroes parts of a string of the input, ever smaller ones.
func (m *minimiser) zeroString(of func(in *corpus.Input) []byte) {
	zeros(len(of(m.best)), func(from, to int) {
		m.try(func(in *corpus.Input) { clear(of(in)[from:to]) })
	})
}
