package report

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/triage"
)

// stateful is a finding of two steps with map contents, and its recipe.
func stateful() (*triage.Finding, *Recipe) {
	in := &corpus.Input{Steps: []corpus.Step{{Packet: arp()}, {Packet: arp()}}}
	f := &triage.Finding{
		Key: "verdict-learn-0badcafe", Oracle: "verdict", Title: `step 1 returned 77 (0x4d), which is no verdict: "odd" */ \`,
		Program: "learn", Type: "sched_cls", Input: in, Original: in, Reliability: 10, Runs: 10,
		Steps: []triage.StepSummary{
			{Ret: 0, Verdict: "TC_ACT_OK", Packet: arp(), Context: []byte{1, 2}},
			{Ret: 77, Packet: arp()[:40]},
		},
	}
	r := &Recipe{
		Target: TestTarget{Object: "/src/it's.o", Program: "learn", Invariants: []string{"ret < `5`"}, Oracles: map[string]bool{"ttl": false}, Faults: true},
		Object: []byte("\x7fELF"), Program: "learn", Load: []string{"learn", "other.1"},
		Contents: []Content{
			{Map: "ports", Key: []byte{1, 0}, Value: []byte{2, 3, 4}, PerCPU: true},
			{Map: "jumps", Key: []byte{0, 0, 0, 0}, Program: "other.1"},
			{Map: ".bss", Key: make([]byte, 4), Value: []byte{9}},
			{Map: "queue", Value: []byte{5}},
			{Map: ".rodata", Key: make([]byte, 4), Value: []byte{7}, ReadOnly: true},
		},
		Calls: []Call{
			{Data: arp(), Context: []byte{1, 0}, GivesData: true, GivesContext: true, Hidden: 2},
			{Data: arp(), GivesData: true, Before: []Content{{Map: "clock", Key: []byte{0}, Value: []byte{8}}}},
		},
	}
	return f, r
}

func TestGoldenExports(t *testing.T) {
	f, r := stateful()
	files, err := Render(f, Options{Recipe: func(*triage.Finding) (*Recipe, error) { return r, nil }})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{testFile, shellFile, cFile} {
		golden := filepath.Join("testdata", "stateful."+file+".txt")
		if *update {
			if err := os.WriteFile(golden, files[file], 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(files[file], want) {
			t.Errorf("%s differs, run the test with -update and look at the difference:\n%s", golden, files[file])
		}
	}
	for file, want := range map[string][]byte{
		"repro-0.data": arp(), "repro-0.ctx": {1, 0}, "repro-0.ctx.out": {1, 2}, "repro-1.data": arp(), "repro-1.out": arp()[:40],
		"repro-0.out": append([]byte{0, 0}, arp()[2:]...), "repro.o": []byte("\x7fELF"),
	} {
		if !bytes.Equal(files[file], want) {
			t.Errorf("%s has %x, want %x", file, files[file], want)
		}
	}
	if _, err := parser.ParseFile(token.NewFileSet(), testFile, files[testFile], parser.AllErrors); err != nil {
		t.Error(err)
	}
}

func TestGoTestIsFormatted(t *testing.T) {
	f, r := stateful()
	cmd := exec.Command("gofmt", "-d")
	cmd.Stdin = strings.NewReader(GoTest(f, r))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("gofmt: %v", err)
	}
	if len(out) > 0 {
		t.Errorf("gofmt would write it in another way:\n%s", out)
	}
}

func TestLimitsLeaveExportsOut(t *testing.T) {
	f, r := stateful()
	for _, test := range []struct {
		name    string
		limits  []Limit
		object  []byte
		there   []string
		missing []string
		text    string
	}{
		{"none", nil, r.Object, []string{testFile, shellFile, cFile, objectFile}, nil, "\nexports\n  reproduced by repro_test.go, repro.sh, repro.c\n"},
		{
			"no flags",
			[]Limit{{[]string{shellFile}, "it has flags"}},
			r.Object,
			[]string{testFile, cFile, objectFile},
			[]string{shellFile, "repro-0.data"},
			"  reproduced by repro_test.go, repro.c\n  not by repro.sh: it has flags\n",
		},
		{
			"no object",
			[]Limit{{Loaders(), "an event"}},
			nil,
			[]string{testFile},
			[]string{shellFile, cFile, objectFile},
			"  reproduced by repro_test.go\n  not by repro.sh, repro.c: an event\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := *r
			r.Limits, r.Object = test.limits, test.object
			files, err := Render(f, Options{Recipe: func(*triage.Finding) (*Recipe, error) { return &r, nil }})
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range test.there {
				if files[name] == nil {
					t.Errorf("there is no %s", name)
				}
			}
			for _, name := range test.missing {
				if files[name] != nil {
					t.Errorf("there is a %s", name)
				}
			}
			if !strings.Contains(string(files["report.txt"]), test.text) {
				t.Errorf("report.txt has no %q:\n%s", test.text, files["report.txt"])
			}
			var d document
			if err := json.Unmarshal(files["report.json"], &d); err != nil || len(d.Exports) != 3 {
				t.Errorf("report.json has exports %v, error %v", d.Exports, err)
			}
		})
	}
}

func TestStringsOfC(t *testing.T) {
	for in, want := range map[string]string{
		`a "b" \`: `"a \042b\042 \134"`, "tab\t1": `"tab\0111"`, "what??/": `"what\077\077/"`, "ä": `"\303\244"`,
	} {
		if got := cString(in); got != want {
			t.Errorf("%q gives %s, want %s", in, got, want)
		}
	}
}

// frames are packets of all kinds that scapy has layers for, and others.
func frames(t *testing.T) *triage.Finding {
	in := &corpus.Input{Steps: []corpus.Step{{Packet: arp()}}}
	const ether = "ffffffffffff020000000001"
	for _, text := range []string{
		"", "ff", ether, ether + "0800", ether + "05dc" + "010203",
		// vlan with and without DEI, another vlan behind
		ether + "8100" + "2064" + "0800" + "4500", ether + "8100" + "1064" + "0806", ether + "88a8" + "0001" + "8100" + "0002" + "86dd",
		// IPv4 with an option, TCP with wrong lengths and odd bits
		ether + "0800" + "460000281234e00040060000c0a8000101020304" + "01010100" + "00501f90" + "0000000100000002" + "6f02ffff12345678" + "020405b4" + "6869",
		ether + "0800" + "4500001c00000000401100000a0000010a000002" + "0035003500080000",
		ether + "0800" + "4500001c00000000400100000a0000010a000002" + "0800000000010002" + "4500001c00000000400100000a0000010a000002",
		ether + "0800" + "4500001c00000000400100000a0000010a000002" + "0301000000000000",
		// IPv6 with an extension header and UDP
		ether + "86dd" + "6abcdef000101140fe800000000000000000000000000001ff020000000000000000000000000001" + "0035003500080001",
		ether + "86dd" + "6000000000100040fe800000000000000000000000000001ff020000000000000000000000000001" + "1100000000000000" + "0035003500080001",
		// ARP of another kind, VXLAN
		ether + "0806" + "0006080006040001" + strings.Repeat("01", 20),
		ether + "0800" + "4500003200000000401100000a0000010a000002" + "c00012b5001e0000" + "0800000000000100" + ether + "0800",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		in.Steps = append(in.Steps, corpus.Step{Packet: b})
	}
	return &triage.Finding{Key: "k", Oracle: "o", Title: "t", Input: in}
}

// TestScapy has scapy build the packets.
func TestScapy(t *testing.T) {
	python := ""
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import scapy").Run() == nil {
			python = name
		}
	}
	if python == "" {
		t.Skip("scapy is not installed")
	}
	f := frames(t)
	script, capture := filepath.Join(t.TempDir(), scapyFile), filepath.Join(t.TempDir(), "out.pcap")
	if err := os.WriteFile(script, []byte(Scapy(f)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(python, script, capture).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.Open(capture)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	seeds, err := pcap.Read(b, pcap.Options{})
	if err != nil || len(seeds.Inputs) < len(f.Input.Steps)-1 { // an empty packet is none
		t.Errorf("the capture has %d packets, error %v", len(seeds.Inputs), err)
	}
}

// TestScapyNamesLayers says which headers become layers.
func TestScapyNamesLayers(t *testing.T) {
	text := Scapy(frames(t))
	for _, want := range []string{
		" / ARP(hwtype=1", "Dot1Q(prio=1, vlan=100, type=0x800)", "IP(version=4, ihl=6", "TCP(sport=80, dport=8080", "flags=0x102",
		"UDP(sport=53, dport=53, len=8, chksum=0x0)", "ICMP(type=8", `IPv6(version=6, tc=171, fl=0xcdef0`, `src="fe80::1"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestGoTestOptions: what the run was told reaches the test that reproduces its finding.
func TestGoTestOptions(t *testing.T) {
	f, r := stateful()
	r.Target = TestTarget{Object: "/src/fw.o", CheckVerifier: true, RealHelpers: true, MaxInsns: 77}
	text := GoTest(f, r)
	for _, want := range []string{"CheckVerifier: true,", "Setup:", "RealHelpers: true", "77,"} {
		if !strings.Contains(text, want) {
			t.Errorf("the test has no %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "Faults") {
		t.Errorf("the test makes calls fail that did not fail:\n%s", text)
	}
}
