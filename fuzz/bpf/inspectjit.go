package bpf

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/disasm"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// ErrInterpreted says that a program has no machine code.
var ErrInterpreted = errors.New("it is interpreted")

// MachineCode is what the kernel's JIT made of a loaded program.
type MachineCode struct {
	// Arch is the architecture as Go calls it.
	Arch string
	// Functions are in the order of the program's, which need not be that of their
	// addresses.
	Functions []MachineFunction
	// Raw has the functions one behind the other.
	Raw []byte
}

// MachineFunction is the machine code of a function.
type MachineFunction struct {
	// Name is empty where the program has no BTF, or it may not be read.
	Name string
	// Address is where it is in the kernel.
	Address      uint64
	Size         int
	Instructions []MachineInstruction
}

// MachineInstruction is an instruction of the processor.
type MachineInstruction struct {
	// Offset is in bytes from the start of the function.
	Offset int
	Raw    []byte
	// Text is "" on machines for which there is no disassembler, where all of the
	// function is in pieces of 16 bytes, and "(bad)" for what is no instruction.
	Text string
	// Pos and Source are set where a source line begins.
	Pos    cover.Pos
	Source string
}

// LoadedMachineCode returns the machine code of a loaded program. The error is
// ErrInterpreted where there is none, and says so when the kernel hides it.
func LoadedMachineCode(id uint32) (*MachineCode, error) {
	prog, err := openID(ebpf.ProgramID(id))
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	code, err := machineCode(prog)
	if err != nil {
		return nil, fmt.Errorf("reading the machine code of program %d: %w", id, err)
	}
	return code, nil
}

func machineCode(prog *ebpf.Program) (*MachineCode, error) {
	jited, err := kernel.ReadJited(prog.FD())
	if err != nil {
		return nil, err
	}
	if jited == nil {
		return nil, fmt.Errorf("the kernel hides it%s", whyHidden())
	}
	if len(jited.Code) == 0 {
		return nil, whyNoCode()
	}
	code := &MachineCode{Arch: runtime.GOARCH, Raw: jited.Code}
	if len(jited.Lens) == 0 {
		jited.Lens = []uint32{uint32(len(jited.Code))}
	}
	names, lines := debugOf(prog, jited)
	rest := jited.Code
	for i, size := range jited.Lens {
		n := min(int(size), len(rest))
		f := MachineFunction{Size: n}
		if i < len(names) {
			f.Name = names[i]
		}
		if i < len(jited.Addresses) {
			f.Address = jited.Addresses[i]
		}
		f.Instructions = machineInstructions(rest[:n], f.Address, lines)
		code.Functions, rest = append(code.Functions, f), rest[n:]
	}
	return code, nil
}

// whyNoCode tells a JIT that is off from a caller who may not see.
func whyNoCode() error {
	if text := kernel.Explain(unix.EPERM); text != "" {
		return fmt.Errorf("the kernel hides it%s", text)
	}
	const knob = "/proc/sys/net/core/bpf_jit_enable"
	if text, err := os.ReadFile(knob); err == nil && strings.TrimSpace(string(text)) == "0" {
		return fmt.Errorf("%w: the JIT is off (net.core.bpf_jit_enable is 0)", ErrInterpreted)
	}
	return fmt.Errorf("%w: it was loaded while the JIT was off, or this kernel's JIT does not take it", ErrInterpreted)
}

// debugOf returns the names of functions, and source lines by address. There are
// none where the program has no BTF, or it may not be read.
func debugOf(prog *ebpf.Program, jited *kernel.Jited) ([]string, map[uint64]*btf.Line) {
	info, err := prog.Info()
	if err != nil {
		return nil, nil
	}
	var names []string
	if funcs, err := info.FuncInfos(); err == nil {
		for _, f := range funcs {
			names = append(names, f.Func.Name)
		}
	}
	lines := map[uint64]*btf.Line{}
	infos, err := info.LineInfos()
	if err != nil {
		return names, nil
	}
	for i, address := range jited.Lines {
		if i < len(infos) {
			lines[address] = infos[i].Line
		}
	}
	return names, lines
}

func machineInstructions(code []byte, address uint64, lines map[uint64]*btf.Line) []MachineInstruction {
	var list []MachineInstruction
	for offset := 0; offset < len(code); {
		text, n := disasm.Machine(runtime.GOARCH, code[offset:], address+uint64(offset))
		ins := MachineInstruction{Offset: offset, Raw: code[offset : offset+n], Text: text}
		if line := lines[address+uint64(offset)]; line != nil {
			ins.Pos = cover.Pos{File: line.FileName(), Line: int(line.LineNumber()), Column: int(line.LineColumn())}
			ins.Source = line.Line()
		}
		list = append(list, ins)
		offset += n
	}
	return list
}
