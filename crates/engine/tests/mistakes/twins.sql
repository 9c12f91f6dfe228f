SELECT Name FROM twins
