package disasm

import "testing"

func TestMachine(t *testing.T) {
	for _, tc := range []struct {
		name, arch string
		code       []byte
		text       string
		length     int
	}{
		{"x86", "amd64", []byte{0x48, 0x89, 0xe5, 0xc3}, "mov %rsp,%rbp", 3},
		{"x86 jump", "amd64", []byte{0xeb, 0x02, 0x90, 0x90}, "jmp 0x1004", 2},
		{"no x86", "amd64", []byte{0x06, 0xc3}, "(bad)", 1},
		{"cut off", "amd64", []byte{0x48, 0xc7}, "rex.w", 1},
		{"arm", "arm64", []byte{0xc0, 0x03, 0x5f, 0xd6, 0}, "ret", 4},
		{"arm cut off", "arm64", []byte{0xc0, 0x03}, "(bad)", 2},
		{"unknown", "riscv64", make([]byte, 20), "", 16},
		{"unknown, the rest", "riscv64", make([]byte, 3), "", 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if text, length := Machine(tc.arch, tc.code, 0x1000); text != tc.text || length != tc.length {
				t.Errorf("got %q, %d bytes", text, length)
			}
		})
	}
}
