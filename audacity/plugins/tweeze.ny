;nyquist plug-in
;version 4
;type tool
;name "Tweeze"
;action "Asking Tweeze..."
;author "Tweeze"
;release 1
;copyright "MIT license"
;debugbutton false
;control query "The sound (several: a; b)" string "" ""
;control unwanted "But not (several: a; b)" string "" ""
;@CONTROLS@

;@COMMON@

(cond
  ((string= (string-trim " ;" query) "")
    "The description is empty: describe the sound in a few words, like 'dog barking'.")
  ((tweeze-trouble t))
  (t
    (tweeze-request
      (list
        (list "action" "separate")
        (list "query" query)
        (list "not" unwanted)
        ;@FIELDS@
        ))))
