package triage

import "github.com/bpffuzz/bpffuzz/corpus"

// maxFaults bounds the earlier calls that are tried.
const maxFaults = 16

// dropFaults lets all calls succeed that may, before anything else: a failure that
// needs no fault is another one to whoever mends it. Where one must fail, an earlier
// one is as good.
func (m *minimiser) dropFaults() {
	for i := range m.best.Steps {
		set := func(n uint32) func(*corpus.Input) { return func(in *corpus.Input) { in.Steps[i].Fault = n } }
		if m.best.Steps[i].Fault == 0 || m.try(set(0)) {
			continue
		}
		for n := uint32(1); n < min(m.best.Steps[i].Fault, maxFaults) && m.err == nil; n++ {
			candidate := m.best.Clone()
			set(n)(candidate)
			if m.ask(candidate) {
				break
			}
		}
	}
}
