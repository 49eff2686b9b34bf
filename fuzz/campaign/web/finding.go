package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// fixed are the files that a finding's directory may have, the most wanted first, and what
// they are.
func fixed() []findingFile {
	return []findingFile{
		{Name: "input.pcap", What: "the packets, for Wireshark"},
		{Name: "input", What: "the input, for bpffuzz replay and go test"},
		{Name: "report.txt", What: "the report as text"},
		{Name: "report.md", What: "the report in Markdown"},
		{Name: "report.html", What: "the report as a page"},
		{Name: "report.json", What: "the report for programs"},
		{Name: "repro_test.go", What: "a test of go test that fails"},
		{Name: "repro.sh", What: "a script for bpftool prog run"},
		{Name: "repro.c", What: "C for libbpf"},
		{Name: "repro.py", What: "the packets in scapy"},
		{Name: "repro.o", What: "the object that these run"},
		{Name: "original", What: "the input as it was found"},
	}
}

// stepFile are what repro.sh reads and expects, of each step.
var stepFile = regexp.MustCompile(`^repro(-[0-9]{1,4})?\.(data|ctx|out|ctx\.out)$`)

// findingFile is a file of a finding that can be downloaded.
type findingFile struct {
	Name, What string
	Size       int64
}

// Bytes is the size as a number that pages can write.
func (f findingFile) Bytes() int { return int(f.Size) }

// maxReport is how much of a report is read, in bytes.
const maxReport = 64 << 20

// filesOf lists what a finding's directory has of the files that it may have.
func filesOf(dir string) []findingFile {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	var files []findingFile
	for _, f := range fixed() {
		if info, err := root.Lstat(f.Name); err == nil && info.Mode().IsRegular() {
			files = append(files, findingFile{f.Name, f.What, info.Size()})
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return files
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && stepFile.MatchString(e.Name()) && info.Mode().IsRegular() {
			files = append(files, findingFile{e.Name(), "what repro.sh gives and expects", info.Size()})
		}
	}
	return files
}

// openFile opens a file of a finding by a name that is one of those that there may be.
// Symbolic links are not followed: directories of findings come from elsewhere at times.
func openFile(dir, name string) (*os.File, os.FileInfo, error) {
	if !stepFile.MatchString(name) && !slices.ContainsFunc(fixed(), func(f findingFile) bool { return f.Name == name }) {
		return nil, nil, os.ErrNotExist
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	if info, err := root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil, nil, os.ErrNotExist
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = os.ErrNotExist
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func fileURL(target, key, file string) string {
	return findingURL(target, key) + "/files/" + url.PathEscape(file)
}

// findingView is the page of a finding.
type findingView struct {
	Target string
	*campaign.FindingStatus
	Files []findingFile
	// Page says that there is a report as a page; else Text is the report.
	Page bool
	Text string
	Now  time.Time
}

// findingOf returns the finding that a request names; without one it answers and returns
// nil.
func (s *site) findingOf(w http.ResponseWriter, r *http.Request) (*campaign.Status, *campaign.FindingStatus) {
	status := s.opts.Board.Status()
	if t := status.Target(r.PathValue("target")); t != nil {
		if f := t.Finding(r.PathValue("key")); f != nil {
			return status, f
		}
	}
	s.missing(w, r, "There is no such finding.")
	return nil, nil
}

func (s *site) finding(w http.ResponseWriter, r *http.Request) {
	status, f := s.findingOf(w, r)
	if f == nil {
		return
	}
	v := findingView{Target: r.PathValue("target"), FindingStatus: f, Files: filesOf(f.Path), Now: status.Now}
	v.Page = slices.ContainsFunc(v.Files, func(f findingFile) bool { return f.Name == "report.html" })
	if !v.Page {
		text, err := readText(f.Path, "report.txt")
		if err != nil {
			text = []byte("There is no report of this finding: its directory is gone or damaged.")
		}
		v.Text = string(text)
	}
	s.show(w, http.StatusOK, "finding", layout{Title: f.Kind + ": " + f.Key, Nav: "targets", Status: status, Body: v})
}

func readText(dir, name string) ([]byte, error) {
	f, info, err := openFile(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > maxReport {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are shown", name, info.Size(), maxReport)
	}
	return io.ReadAll(io.LimitReader(f, maxReport))
}

// framed has a report look like a part of the page around it, which has the headline and
// the command already.
const framed = `
body { display: flow-root; max-width: none; margin: 0; padding: 1px }
body > h1, body > h1 + table + p, body > h1 + table + p + pre { display: none }
`

// report is a finding's report.html for a frame in its page. Nothing in it is run.
func (s *site) report(w http.ResponseWriter, r *http.Request) {
	_, f := s.findingOf(w, r)
	if f == nil {
		return
	}
	text, err := readText(f.Path, "report.html")
	if err != nil {
		s.missing(w, r, "This finding has no report as a page.")
		return
	}
	isolate(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(bytes.Replace(text, []byte("</style>"), []byte(framed+"</style>"), 1))
}

// download sends a file of a finding to be stored.
func (s *site) download(w http.ResponseWriter, r *http.Request) {
	_, f := s.findingOf(w, r)
	if f == nil {
		return
	}
	name := r.PathValue("file")
	file, info, err := openFile(f.Path, name)
	if err != nil {
		s.missing(w, r, "This finding has no such file.")
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", attachment(name))
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	_, _ = io.Copy(w, io.LimitReader(file, info.Size()))
}
