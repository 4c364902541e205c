package awsapi

import (
	"context"
	"strconv"

	"ssmrun"
	"ssmrun/internal/store"
)

type documentVersionInfo struct {
	Name             string
	DisplayName      string `json:",omitempty"`
	DocumentVersion  string
	VersionName      string `json:",omitempty"`
	CreatedDate      epoch
	IsDefaultVersion bool
	DocumentFormat   string
	Status           string
	ReviewStatus     ssmrun.ReviewStatus `json:",omitempty"`
}

func (a *API) listDocumentVersions(ctx context.Context, c *Call) (any, error) {
	var in struct {
		Name       string
		MaxResults int
		NextToken  string
	}
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	page, err := a.page(c, pageSize(in.MaxResults), in.NextToken)
	if err != nil {
		return nil, err
	}
	var out struct {
		DocumentVersions []documentVersionInfo
		NextToken        string `json:",omitempty"`
	}
	out.DocumentVersions = []documentVersionInfo{}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		o, err := openDocument(tx, c.Scope, in.Name)
		if err != nil {
			return err
		}
		versions, err := o.versions(tx)
		for i := range versions {
			v := &versions[i]
			if page.Token != "" && v.Number >= placeNumber(page.Token) || !o.visible(v.Number) {
				continue
			}
			if n := len(out.DocumentVersions); n == page.Limit {
				out.NextToken = a.next(c, out.DocumentVersions[n-1].DocumentVersion)
				break
			}
			out.DocumentVersions = append(out.DocumentVersions, documentVersionInfo{
				Name: o.shown, DisplayName: v.DisplayName, DocumentVersion: ssmrun.DocumentVersionNumber(v.Number), VersionName: v.Name,
				CreatedDate: epoch(v.CreatedAt), IsDefaultVersion: v.Number == o.Default, DocumentFormat: v.Format,
				Status: a.documentStatus(&o.Document, v), ReviewStatus: v.ReviewStatus,
			})
		}
		return err
	})
	return out, err
}

// versions gives all versions, newest first.
func (o *opened) versions(tx store.Tx) ([]ssmrun.DocumentVersion, error) {
	if o.builtIn != nil {
		return []ssmrun.DocumentVersion{builtInVersion(o.builtIn)}, nil
	}
	return tx.DocumentVersions(o.Scope, o.Name)
}

// placeNumber reads the place of a page that is a number. It was sealed.
func placeNumber(place string) int64 {
	n, _ := strconv.ParseInt(place, 10, 64)
	return n
}
