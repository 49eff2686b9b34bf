package bpf

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/asm"
)

// callBase is the symbol from which loaded programs count the helpers that they
// call.
const callBase = "__bpf_call_base"

// nameHelpers gives calls of helpers and kernel functions their names. A loaded
// program has only addresses; without the kernel's symbols they stay numbers.
func nameHelpers(insns asm.Instructions) {
	base := uint64(0)
	eachSymbol(func(address uint64, name string) bool {
		if name == callBase {
			base = address
		}
		return base == 0
	})
	if base == 0 {
		return
	}
	calls := map[uint64][]int{}
	for i := range insns {
		ins := &insns[i]
		if ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) != asm.FnTailCall || ins.IsKfuncCall() {
			address := base + uint64(int64(int32(ins.Constant)))
			calls[address] = append(calls[address], i)
		}
	}
	eachSymbol(func(address uint64, name string) bool {
		for _, i := range calls[address] {
			insns[i] = insns[i].WithReference(name)
		}
		delete(calls, address)
		return len(calls) > 0
	})
}

// eachSymbol calls do for the kernel's symbols until it returns false. Where the
// caller may not know addresses, they are 0, and do is not called.
func eachSymbol(do func(address uint64, name string) bool) {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		hexadecimal, rest, _ := strings.Cut(lines.Text(), " ")
		_, name, _ := strings.Cut(rest, " ")
		name, _, _ = strings.Cut(name, "\t")
		address, err := strconv.ParseUint(hexadecimal, 16, 64)
		if err != nil || address == 0 {
			continue
		}
		if !do(address, name) {
			return
		}
	}
}
