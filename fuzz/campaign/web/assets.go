package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets pages
var files embed.FS

// asset is a file that pages load.
type asset struct {
	content []byte
	kind    string
	tag     string // of this version of the content
}

// readAssets reads all of assets by their names below it.
func readAssets() (map[string]asset, error) {
	all := map[string]asset{}
	err := fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		all[strings.TrimPrefix(name, "assets/")] = asset{b, kindOf(name), `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the dashboard's assets: %w", err)
	}
	return all, nil
}

// kindOf does not ask the machine, which may think otherwise of a file name.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

func (s *site) asset(w http.ResponseWriter, r *http.Request) {
	s.serveAsset(w, r, r.PathValue("asset"))
}

func (s *site) favicon(w http.ResponseWriter, r *http.Request) { s.serveAsset(w, r, "favicon.svg") }

func (s *site) serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	a, ok := s.assets[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Etag", a.tag)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}

// readPages parses the pages, each with the layout around it.
func readPages() (map[string]*template.Template, error) {
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("reading the dashboard's pages: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, name := range names {
		t, err := template.New("layout.html").Funcs(functions()).ParseFS(files, "pages/layout.html", "pages/parts.html", name)
		if err != nil {
			return nil, fmt.Errorf("reading the dashboard's pages: %w", err)
		}
		pages[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return pages, nil
}

// attachment is a header that has browsers store what they get under a name.
func attachment(name string) string {
	return mime.FormatMediaType("attachment", map[string]string{"filename": name})
}
