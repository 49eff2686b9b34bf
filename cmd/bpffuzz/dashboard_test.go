package main

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign/web/webtest"
)

// A run is watched in a browser: its numbers move, its finding is opened and downloaded,
// and what it covers is shown.
func TestDashboardOfARun(t *testing.T) {
	dir := t.TempDir()
	watchInBrowser(t, dir, filepath.Join(dir, "out"), "run", "-o", "out", "-j", "1", "--seed", "3", abs(t, "testdata/planted.o"))
}

// So is a campaign.
func TestDashboardOfACampaign(t *testing.T) {
	dir := t.TempDir()
	file := "output: out\nturn: 5m\ntargets:\n  - name: forgetful\n    object: " + abs(t, "testdata/planted.o") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "campaign.yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	watchInBrowser(t, dir, filepath.Join(dir, "out/forgetful"), "campaign", "-j", "1", "--seed", "3", "campaign.yaml")
}

// watchInBrowser watches what a command does with the program forgetful, whose output
// directory is out.
func watchInBrowser(t *testing.T, dir, out string, args ...string) {
	t.Helper()
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	b := webtest.Start(t)
	r := start(t, dir, "bpffuzz", append(args, "--http", "127.0.0.1:0")...)
	r.until(func() bool { return r.dashboard != "" && len(r.findings) >= 1 && r.progress >= 1 })
	address := r.dashboard
	b.Open(address + "targets/forgetful")
	b.Until(`Number(document.getElementById("plot-edges").dataset.points) > 0 && Number(document.getElementById("edges").textContent) > 0`)
	before := b.Text(`document.getElementById("execs").textContent`)
	b.Until(`document.getElementById("execs").textContent !== "` + before + `"`)
	b.Until(`document.querySelector("#frontier table, #frontier p:only-child") !== null && !/once more/.test(document.getElementById("frontier").textContent)`)
	b.Is(`document.querySelector("#findings a").click(), true`)
	b.Until(`/findings\/./.test(location.pathname) && document.getElementById("report")?.contentDocument?.querySelector(".layers, pre") != null`)
	b.Is(`[...document.querySelectorAll(".files a")].find((a) => a.download === "input.pcap").click(), true`)
	key, err := url.PathUnescape(filepath.Base(b.Text(`location.pathname`)))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(out, "findings", key, "input.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Downloaded("input.pcap"); !bytes.Equal(got, want) {
		t.Errorf("downloaded %x, the file is %x", got, want)
	}
	b.Open(address + "targets/forgetful/source")
	b.Until(`document.querySelectorAll(".source .covered").length > 0`)
	b.Open(address + "targets/forgetful/flow")
	b.Until(`document.getElementById("graph").naturalWidth > 0`)
	where, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	b.Check(where.Host)
	r.signal(syscall.SIGINT)
	b.Until(`document.getElementById("link-text").textContent === "ended"`)
	if state := r.end(); state.ExitCode() != exitFindings {
		t.Errorf("the run ended with %v, want exit code %d", state, exitFindings)
	}
}
