package main

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// shownMachine is the machine code of a loaded program as show --jited --json has it.
type shownMachine struct {
	ID        uint32            `json:"id"`
	Program   string            `json:"program"`
	Arch      string            `json:"arch"`
	Bytes     int               `json:"bytes"`
	Functions []machineFunction `json:"functions"`
}

type machineFunction struct {
	Name         string             `json:"name,omitempty"`
	Address      string             `json:"address"`
	Bytes        int                `json:"bytes"`
	Instructions []shownInstruction `json:"instructions"`
}

func (f *showFlags) showMachineCode(u *ui, programs []bpf.LoadedProgram) error {
	if f.out != "" && len(programs) > 1 {
		return fmt.Errorf("%s agree with %s: choose one with --id", count(len(programs), "program"), f.loaded)
	}
	all := []*shownMachine{}
	for _, p := range programs {
		code, err := bpf.LoadedMachineCode(p.ID)
		if err != nil {
			return err
		}
		if f.out != "" {
			return f.write(u, code.Raw)
		}
		all = append(all, newShownMachine(&p, code))
	}
	if f.json {
		return u.printJSON(struct {
			Programs []*shownMachine `json:"programs"`
		}{all})
	}
	for _, p := range all {
		u.print(p.text(f.opcodes, f.linum))
	}
	return nil
}

func newShownMachine(p *bpf.LoadedProgram, code *bpf.MachineCode) *shownMachine {
	s := &shownMachine{ID: p.ID, Program: p.Name, Arch: code.Arch, Bytes: len(code.Raw)}
	for _, f := range code.Functions {
		fn := machineFunction{Name: f.Name, Address: fmt.Sprintf("%#x", f.Address), Bytes: f.Size}
		for _, ins := range f.Instructions {
			fn.Instructions = append(fn.Instructions, shownInstruction{
				ins.Offset, ins.Text, hex.EncodeToString(ins.Raw), newShownSource(ins.Pos, ins.Source),
			})
		}
		s.Functions = append(s.Functions, fn)
	}
	return s
}

// text lists instructions with their offsets in bytes. Where there is no disassembler
// it shows the bytes.
func (s *shownMachine) text(opcodes, linum bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "program %d %s: %d bytes of %s code\n", s.ID, printable(s.Program), s.Bytes, s.Arch)
	for _, f := range s.Functions {
		name := f.Name
		if name == "" {
			name = "(no name)"
		}
		fmt.Fprintf(&b, "%s: %d bytes at %s\n", printable(name), f.Bytes, f.Address)
		for i := range f.Instructions {
			ins := &f.Instructions[i]
			ins.writeSource(&b, linum)
			if ins.Text == "" {
				fmt.Fprintf(&b, "%4x: %s\n", ins.Offset, spaced(ins.Opcodes))
				continue
			}
			fmt.Fprintf(&b, "%4x: %s\n", ins.Offset, ins.Text)
			if opcodes {
				fmt.Fprintf(&b, "      %s\n", spaced(ins.Opcodes))
			}
		}
	}
	return b.String()
}
