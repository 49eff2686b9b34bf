package instrument

import (
	"fmt"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// ResultSize is the size in bytes of the value of a map that Results writes to: the
// value that the program returned last and how often it has returned, a u32 each in
// the machine's byte order.
const ResultSize = 8

// Results returns the program with code before each exit of its entry function that
// stores what it returns in the map mapName, which the caller adds to the
// collection. It is for programs that are not run by BPF_PROG_RUN, which would tell.
func Results(code asm.Instructions, mapName string) (asm.Instructions, error) {
	funcs, err := cfg.Split(code)
	if err != nil {
		return nil, fmt.Errorf("recording results: %w", err)
	}
	main := funcs[0]
	var list []insertion
	for i := range main.Insns {
		if cfg.IsExit(&main.Insns[i]) {
			list = append(list, insertion{place: before, insn: i, code: record(mapName)})
		}
	}
	out, err := insert(main, main.Insns, list)
	if err != nil {
		return nil, fmt.Errorf("recording results: %w", err)
	}
	return append(out, code[len(main.Insns):]...), nil
}

// record may use any register but r0: nothing else is read after it.
func record(mapName string) asm.Instructions {
	return asm.Instructions{
		address(asm.R1, mapName, 0),
		asm.StoreMem(asm.R1, 0, asm.R0, asm.Word),
		asm.LoadMem(asm.R2, asm.R1, 4, asm.Word),
		asm.Add.Imm(asm.R2, 1),
		asm.StoreMem(asm.R1, 4, asm.R2, asm.Word),
	}
}
