package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/disasm"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// LoadedCode reads a loaded program back as the verifier left it: with helpers
// inlined and dead code gone. Errors say when the kernel hides it from the caller.
func LoadedCode(id uint32) (*Code, error) {
	prog, err := openID(ebpf.ProgramID(id))
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	return codeOf(prog)
}

func codeOf(prog *ebpf.Program) (*Code, error) {
	info, err := kernel.ReadProgramInfo(prog.FD())
	if err != nil {
		return nil, err
	}
	raw, err := kernel.Xlated(prog.FD())
	if err != nil {
		return nil, err
	}
	if raw == nil {
		return nil, fmt.Errorf("reading the instructions of program %d: the kernel hides them%s", info.ID, whyHidden())
	}
	details, err := prog.Info()
	if err != nil {
		return nil, fmt.Errorf("reading program %d: %w", info.ID, err)
	}
	insns, err := details.Instructions()
	if err != nil {
		return nil, fmt.Errorf("reading the instructions of program %d: %w", info.ID, err)
	}
	name := fullName(prog, info)
	nameFunctions(insns, name)
	nameMaps(insns, info.MapIDs)
	nameHelpers(insns)
	code, err := newCode([]instrument.Program{{Name: name, Instructions: insns}}, raw)
	if err == nil && info.BTF == 0 {
		code.Notes = append(code.Notes, "the program was loaded without BTF: there are no source lines and no names of functions")
	}
	return code, err
}

// whyHidden says what the caller would need to see code.
func whyHidden() string {
	if text := kernel.Explain(unix.EPERM); text != "" {
		return text
	}
	return "; the sysctls kernel.kptr_restrict and net.core.bpf_jit_harden, or a lockdown of the kernel, forbid to read them"
}

// nameFunctions gives functions their symbols and calls their references: by BTF,
// else by number.
func nameFunctions(insns asm.Instructions, name string) {
	starts := map[int]int{} // slot to instruction
	slot := 0
	for i := range insns {
		starts[slot] = i
		slot += int(insns[i].Width())
	}
	callees := map[int]int{} // calling to called instruction
	entries := map[int]bool{0: true}
	slot = 0
	for i := range insns {
		ins := &insns[i]
		slot += int(ins.Width())
		if btf.FuncMetadata(ins) != nil {
			entries[i] = true
		}
		if !ins.IsFunctionCall() {
			continue
		}
		if callee, ok := starts[slot+disasm.Callee(ins)]; ok {
			callees[i], entries[callee] = callee, true
		}
	}
	number := 0
	for i := range insns {
		if entries[i] {
			insns[i] = insns[i].WithSymbol(functionName(&insns[i], name, number))
			number++
		}
	}
	for i, callee := range callees {
		insns[i] = insns[i].WithReference(insns[callee].Symbol())
	}
}

func functionName(ins *asm.Instruction, program string, number int) string {
	if fn := btf.FuncMetadata(ins); fn != nil {
		return fn.Name
	}
	if number == 0 && program != "" {
		return program
	}
	return fmt.Sprintf("func_%d", number)
}

// nameMaps puts the names of maps where the instructions have their ids.
func nameMaps(insns asm.Instructions, ids []uint32) {
	names := map[uint32]string{}
	for _, id := range ids {
		if m, err := ebpf.NewMapFromID(ebpf.MapID(id)); err == nil {
			if info, err := m.Info(); err == nil && info.Name != "" {
				names[id] = info.Name
			}
			m.Close()
		}
	}
	for i := range insns {
		if ins := &insns[i]; ins.IsLoadFromMap() && names[uint32(ins.Constant)] != "" {
			insns[i] = ins.WithReference(names[uint32(ins.Constant)])
		}
	}
}
