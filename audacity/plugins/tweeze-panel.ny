;nyquist plug-in
;version 4
;type tool
;name "Tweeze Panel"
;action "Opening the panel..."
;author "Tweeze"
;release 1
;copyright "MIT license"
;debugbutton false

;@COMMON@

;; The engine takes the selection, and opens the panel in the browser with it.
(cond
  ((tweeze-trouble t))
  (t (tweeze-request (list (list "action" "panel")))))
