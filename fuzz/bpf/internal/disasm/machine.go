package disasm

import (
	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"
)

// piece is how many bytes stand for an instruction where there is no disassembler.
const piece = 16

// Machine returns the first instruction in code as text and its length in bytes, at
// least 1 and at most len(code), which must not be 0. Arch is as Go calls it, pc the
// address of the code. The text is "(bad)" for what is no instruction, and "" for
// architectures that are not known.
func Machine(arch string, code []byte, pc uint64) (text string, length int) {
	switch arch {
	case "amd64":
		ins, err := x86asm.Decode(code, 64)
		if err != nil || ins.Len <= 0 {
			return "(bad)", 1
		}
		return x86asm.GNUSyntax(ins, pc, nil), ins.Len
	case "arm64":
		ins, err := arm64asm.Decode(code)
		if err != nil {
			return "(bad)", min(4, len(code))
		}
		return arm64asm.GNUSyntax(ins), min(4, len(code))
	}
	return "", min(piece, len(code))
}
