package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// Unreachable implements fuzz.Pruner: the verifier removes what it proves that no run
// can reach, and the probes there with it.
func (t *Target) Unreachable() ([]bool, error) {
	if t.left == nil || t.leftErr != nil {
		return nil, t.leftErr
	}
	return removed(t.table.Edges, t.left), nil
}

// removed reports for each edge whether none of its probes is left.
func removed(edges []cover.Edge, left map[int]bool) []bool {
	gone := make([]bool, len(edges))
	for i := range edges {
		gone[i] = edges[i].Probe >= 0 && !left[edges[i].Probe]
	}
	// What has no probe was passed when one of others was, which may have none either.
	for changed := true; changed; {
		changed = false
		for i := range edges {
			e := &edges[i]
			if gone[i] || e.Probe >= 0 || len(e.Via) == 0 {
				continue
			}
			all := true
			for _, via := range e.Via {
				all = all && gone[via]
			}
			gone[i], changed = all, changed || all
		}
	}
	return gone
}

// probesLeft returns the offsets in the coverage map that the loaded programs store
// a byte to; nil where the kernel hides their code.
func (t *Target) probesLeft(inst *instance) (map[int]bool, error) {
	left := map[int]bool{}
	for _, name := range t.names {
		prog := inst.coll.Programs[name]
		insns, err := xlated(prog)
		if insns == nil || err != nil {
			return nil, err
		}
		funcs, err := cfg.Split(insns)
		if err != nil {
			return nil, fmt.Errorf("reading what the verifier left of program %q: %w", name, err)
		}
		for _, f := range funcs {
			f.Flow(nil).Walk(func(i int, s *cfg.State) {
				ins := &f.Insns[i]
				base := s.Regs[ins.Dst]
				if ins.OpCode.Class() == asm.StClass && ins.OpCode.Size() == asm.Byte && base.Kind == cfg.MapValue && base.Map == coverMap {
					left[int(base.Off)+int(ins.Offset)] = true
				}
			})
		}
	}
	return left, nil
}

// xlated returns a program's instructions as the verifier left them, nil where the
// kernel hides them.
func xlated(prog *ebpf.Program) (asm.Instructions, error) {
	info, err := kernel.ReadProgramInfo(prog.FD())
	if err != nil {
		return nil, err
	}
	raw, err := kernel.Xlated(prog.FD())
	if raw == nil || err != nil {
		return nil, err
	}
	details, err := prog.Info()
	if err != nil {
		return nil, fmt.Errorf("reading program %d: %w", info.ID, err)
	}
	insns, err := details.Instructions()
	if err != nil {
		return nil, fmt.Errorf("reading the instructions of program %d: %w", info.ID, err)
	}
	nameFunctions(insns, fullName(prog, info))
	nameMaps(insns, info.MapIDs)
	return insns, nil
}
